/// Growing pauses between tries, with jitter so that many who failed together do not come back together.
package struct Backoff: Sendable {
    package let firstMilliseconds: Int64
    package let longestMilliseconds: Int64

    package init(firstMilliseconds: Int64, longestMilliseconds: Int64) {
        (self.firstMilliseconds, self.longestMilliseconds) = (firstMilliseconds, longestMilliseconds)
    }

    /// The pause before try number `attempt + 1`, after `attempt` failures: doubled each time, and half of it random.
    package func milliseconds(afterFailures attempt: Int64) -> Int64 {
        let pause = longestMilliseconds(afterFailures: attempt)
        return pause / 2 + Int64.random(in: 0...max(pause - pause / 2, 0))
    }

    /// The longest that this pause can be.
    package func longestMilliseconds(afterFailures attempt: Int64) -> Int64 {
        let doublings = min(max(attempt - 1, 0), 30)
        let (grown, overflow) = firstMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        return overflow ? longestMilliseconds : min(grown, longestMilliseconds)
    }
}
