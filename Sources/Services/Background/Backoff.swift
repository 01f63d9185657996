/// Growing pauses between tries, with jitter, so that those who failed together do not retry together.
package struct Backoff: Sendable {
    package let firstMilliseconds: Int64
    package let longestMilliseconds: Int64

    package init(firstMilliseconds: Int64, longestMilliseconds: Int64) {
        (self.firstMilliseconds, self.longestMilliseconds) = (firstMilliseconds, longestMilliseconds)
    }

    /// The pause after `attempt` failures in a row. It doubles with each failure, and half of it is random.
    package func milliseconds(afterFailures attempt: Int64) -> Int64 {
        let pause = longestMilliseconds(afterFailures: attempt)
        return pause / 2 + Int64.random(in: 0...max(pause - pause / 2, 0))
    }

    /// The upper bound of ``milliseconds(afterFailures:)``.
    package func longestMilliseconds(afterFailures attempt: Int64) -> Int64 {
        let doublings = min(max(attempt - 1, 0), 30)
        let (grown, overflow) = firstMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        return overflow ? longestMilliseconds : min(grown, longestMilliseconds)
    }
}
