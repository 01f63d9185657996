/// How many answers of each status class each route has given, from the service's own metrics.
package struct StatusCounts: Sendable, Equatable {
    package private(set) var byClass: [String: Int] = [:]

    /// - Parameters:
    ///   - metrics: the answer of `/metrics`.
    ///   - route: the route's template, such as `/api/v1/coupons/{couponId}/claims`.
    package init(metrics: String, method: String, route: String) {
        for line in metrics.split(separator: "\n") where line.hasPrefix("firstcome_http_requests_total{") {
            guard line.contains("method=\"\(method)\""), line.contains("route=\"\(route)\""),
                let status = line.firstMatch(of: /status="(\dxx)"/)?.1, let value = line.split(separator: " ").last.flatMap({ Int($0) })
            else { continue }
            byClass[String(status), default: 0] += value
        }
    }

    /// What was added since an earlier look, without classes in which nothing was.
    package func since(_ earlier: StatusCounts) -> [String: Int] {
        byClass.merging(earlier.byClass) { $0 - $1 }.filter { $0.value != 0 }
    }
}
