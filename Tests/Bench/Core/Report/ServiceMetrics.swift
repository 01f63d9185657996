/// The service's `/metrics` at one moment.
package struct ServiceMetrics: Sendable {
    /// One line: a name, its labels and its value.
    fileprivate struct Line {
        let name: Substring
        let labels: Substring
        let value: Double
    }

    private let lines: [Line]

    package init(_ text: String) {
        lines = text.split(separator: "\n").compactMap { line in
            guard !line.hasPrefix("#"), let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                return nil
            }
            let name = line.prefix { $0 != "{" && $0 != " " }
            return Line(name: name, labels: line[name.endIndex..<space], value: value)
        }
    }

    /// What several services have counted together: lines with the same name and labels are added.
    init(sumOf services: [ServiceMetrics]) {
        var sums: [String: Line] = [:]
        for line in services.flatMap(\.lines) {
            let key = "\(line.name)\(line.labels)"
            sums[key] = Line(name: line.name, labels: line.labels, value: (sums[key]?.value ?? 0) + line.value)
        }
        lines = Array(sums.values)
    }

    /// The one value of a metric without labels; nil where there is none.
    package func value(_ name: String) -> Double? { lines.first { $0.name == name }?.value }

    /// How many requests were refused since an earlier reading because a queue was too long, by queue.
    package func shed(since earlier: ServiceMetrics) -> [String: Int] { shed.since(earlier.shed) }

    private var shed: [String: Int] {
        let counters = lines.filter { $0.name == "firstcome_shed_total" }
        return Dictionary(counters.map { ($0.label("queue") ?? "", Int($0.value)) }) { $1 }
    }

    /// How many writes the store has committed together since an earlier reading, as a mean; nil without a commit.
    package func groupSize(since earlier: ServiceMetrics) -> Double? {
        func more(_ name: String) -> Double? {
            guard let now = value(name), let before = earlier.value(name) else { return nil }
            return now - before
        }
        guard let writes = more("firstcome_store_writes_total"), let commits = more("firstcome_store_commits_total"), commits > 0 else {
            return nil
        }
        return writes / commits
    }

    /// How many answers of each status class a route has given.
    ///
    /// - Parameter route: the route's template, such as `/api/v1/coupons/{couponId}/claims`.
    package func statuses(method: String, route: String) -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in lines where line.name == "firstcome_http_requests_total" && line.isOf(method: method, route: route) {
            // Some codes are on the page before they were answered.
            guard let code = line.label("code"), line.value > 0 else { continue }
            counts["\(code.prefix(1))xx", default: 0] += Int(line.value)
        }
        return counts
    }

    /// For each bucket bound in seconds, in rising order, how many requests of all routes did not exceed it.
    package var latencyBuckets: [(bound: Double, count: Double)] {
        var sums: [Double: Double] = [:]
        for line in lines where line.name == "firstcome_http_request_seconds_bucket" {
            guard let text = line.label("le"), let bound = text == "+Inf" ? .infinity : Double(text) else { continue }
            sums[bound, default: 0] += line.value
        }
        return sums.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The least bucket bound that 99 % of the requests since an earlier reading did not exceed, in seconds; nil without requests.
    package func p99(since earlier: ServiceMetrics) -> Double? {
        let before = Dictionary(uniqueKeysWithValues: earlier.latencyBuckets.map { ($0.bound, $0.count) })
        let counts = latencyBuckets.map { (bound: $0.bound, count: $0.count - (before[$0.bound] ?? 0)) }
        guard let all = counts.last?.count, all > 0 else { return nil }
        return counts.first { $0.count >= 0.99 * all }?.bound
    }
}

extension ServiceMetrics.Line {
    fileprivate func label(_ name: String) -> String? {
        guard let start = labels.firstRange(of: "\(name)=\"")?.upperBound else { return nil }
        return String(labels[start...].prefix { $0 != "\"" })
    }

    fileprivate func isOf(method: String, route: String) -> Bool {
        label("method") == method && label("route") == route
    }
}

extension [String: Int] {
    /// The increases since an earlier reading, without values that are unchanged.
    package func since(_ earlier: [String: Int]) -> [String: Int] {
        merging(earlier) { $0 - $1 }.filter { $0.value != 0 }
    }

    var total: Int { values.reduce(0, +) }
}
