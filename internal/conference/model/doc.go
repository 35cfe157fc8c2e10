// Package model holds the values of a conference: the objects of the domain
// model with their identities, attributes, relations and life-cycle states.
//
// It is not where anything is decided: who may do what is package policy, and
// every change of state is made by package control. Values belong to the one
// goroutine that drives their control.Machine; nothing here locks.
package model
