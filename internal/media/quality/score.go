package quality

// Lowest joins the scores of several streams to one of a direction or person:
// the worst of what is there, since a call is as good as what annoys most. 0
// when there is nothing.
func Lowest(scores ...float64) float64 {
	least := 0.0
	for _, s := range scores {
		if s > 0 && (least == 0 || s < least) {
			least = s
		}
	}
	return least
}

// Round keeps one decimal: more would promise what an estimate cannot hold.
func Round(s float64) float64 { return float64(int(s*10+0.5)) / 10 }
