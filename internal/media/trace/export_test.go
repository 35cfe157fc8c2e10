package trace

// ReadMost is Read with another limit.
var ReadMost = read
