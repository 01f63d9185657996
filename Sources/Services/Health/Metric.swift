/// One metric of `/metrics`, as the Prometheus text format defines it.
package struct Metric: Sendable {
    /// The Prometheus type of the metric.
    package enum Kind: String, Sendable {
        case counter
        case gauge
    }

    package let name: String
    package let help: String
    package let kind: Kind
    package let samples: [(labels: [(name: String, value: String)], value: Double)]

    package init(_ name: String, _ kind: Kind, _ help: String, samples: [(labels: [(name: String, value: String)], value: Double)]) {
        (self.name, self.kind, self.help, self.samples) = (name, kind, help, samples)
    }

    /// A metric without labels.
    package init(_ name: String, _ kind: Kind, _ help: String, _ value: some BinaryInteger) {
        self.init(name, kind, help, samples: [(labels: [], value: Double(value))])
    }
}
