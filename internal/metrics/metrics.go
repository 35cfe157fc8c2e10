// Package metrics turns snapshots of counters into Prometheus metrics. It is
// asked, never told: a scrape calls the sources once, and nothing on the way of
// a packet or a command knows that metrics exist. docs/metrics.md lists the
// names; a test keeps it equal to the table here.
//
// Threading: the handler is safe for concurrent use; sources are called from
// the goroutine of the scrape.
package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Kind of a metric.
type Kind uint8

// Kinds.
const (
	Counter Kind = iota + 1 // only grows
	Gauge
)

// Metric is one name. With Label, values come by its values; several labels, and
// their values, have commas between. Every label has few values, whatever
// clients do: none of them is a name or an id.
type Metric struct {
	Name, Help string
	Kind       Kind
	Label      string
}

// labels lists the names.
func (m *Metric) labels() []string {
	if m.Label == "" {
		return nil
	}
	return strings.Split(m.Label, ",")
}

// Values are one scrape: by name, then by label value ("" without a label).
type Values map[string]map[string]float64

// Set notes a value.
func (v Values) Set(name, label string, n float64) {
	if v[name] == nil {
		v[name] = map[string]float64{}
	}
	v[name][label] = n
}

// Add adds to a value.
func (v Values) Add(name, label string, n float64) {
	v.Set(name, label, v[name][label]+n)
}

// collector implements prometheus.Collector over [Table].
type collector struct {
	descs map[string]*prometheus.Desc
	read  func(Values)
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range Table {
		ch <- c.descs[m.Name]
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	v := Values{}
	c.read(v)
	for _, m := range Table {
		kind := prometheus.CounterValue
		if m.Kind == Gauge {
			kind = prometheus.GaugeValue
		}
		for label, n := range v[m.Name] {
			var labels []string
			if m.Label != "" {
				labels = strings.Split(label, ",")
			}
			ch <- prometheus.MustNewConstMetric(c.descs[m.Name], kind, n, labels...)
		}
	}
}

// Handler serves the metrics of [Table], which read fills in, and those of the
// Go runtime and the process.
func Handler(read func(Values)) http.Handler {
	c := &collector{descs: map[string]*prometheus.Desc{}, read: read}
	for _, m := range Table {
		c.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.labels(), nil)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
}
