package import Histograms

/// One metric of `/metrics`, as the Prometheus text format defines it.
package struct Metric: Sendable {
    /// The Prometheus type of the metric.
    package enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    package typealias Labels = [(name: String, value: String)]

    package let name: String
    package let help: String
    package let kind: Kind
    /// The values of a counter or a gauge. Empty while the value is unknown.
    package let samples: [(labels: Labels, value: Double)]
    /// The values of a histogram.
    package let histograms: [(labels: Labels, value: HistogramSnapshot)]

    package init(_ name: String, _ kind: Kind, _ help: String, samples: [(labels: Labels, value: Double)]) {
        (self.name, self.kind, self.help, self.samples, histograms) = (name, kind, help, samples, [])
    }

    /// A metric without labels; it has no sample where the value is unknown.
    package init(_ name: String, _ kind: Kind, _ help: String, _ value: (some BinaryInteger)?) {
        self.init(name, kind, help, samples: value.map { [(labels: [], value: Double($0))] } ?? [])
    }

    /// A gauge that is 1 where a condition holds, otherwise 0.
    package init(_ name: String, _ help: String, holds condition: Bool) { self.init(name, .gauge, help, condition ? 1 : 0) }

    /// A metric without labels that is a time or another fraction; it has no sample where the value is unknown.
    package init(_ name: String, _ kind: Kind, _ help: String, seconds value: Double?) {
        self.init(name, kind, help, samples: value.map { [(labels: [], value: $0)] } ?? [])
    }

    /// A histogram without labels.
    package init(_ name: String, _ help: String, _ histogram: HistogramSnapshot) {
        (self.name, self.help, kind, samples, histograms) = (name, help, .histogram, [], [(labels: [], value: histogram)])
    }
}
