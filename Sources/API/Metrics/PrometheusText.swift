import Histograms
import NIOCore
import Services

/// Writes metrics in the Prometheus text exposition format, version 0.0.4.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var buffer = ByteBuffer()

    mutating func write(_ metric: Metric) {
        header(metric.name, metric.kind.rawValue, metric.help)
        for sample in metric.samples { line(Self.series(metric.name, sample.labels), Self.text(sample.value)) }
        for (labels, histogram) in metric.histograms { write(histogram, HistogramSeries(metric.name, labels, histogram.bounds)) }
    }

    mutating func header(_ name: String, _ kind: String, _ help: String) {
        buffer.writeString("# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind)\n")
    }

    /// Writes a series as ``series(_:_:)`` names it, with its value.
    mutating func line(_ series: String, _ value: String) {
        buffer.writeString(series)
        buffer.writeString(" ")
        buffer.writeString(value)
        buffer.writeString("\n")
    }

    mutating func write(_ histogram: HistogramSnapshot, _ series: HistogramSeries) {
        var below = 0
        for (bucket, count) in zip(series.buckets, histogram.counts) {
            below += count
            line(bucket, String(below))
        }
        line(series.sum, Self.text(histogram.bounds.shown(histogram.sum)))
        line(series.count, String(below))
    }

    /// A name with its labels, as one line begins.
    static func series(_ name: String, _ labels: Metric.Labels) -> String {
        if labels.isEmpty { return name }
        return "\(name){\(labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ","))}"
    }

    /// Whole numbers without a fraction, as counters usually are; others as Swift writes them, which the format reads.
    static func text(_ value: Double) -> String {
        switch value {
        case .infinity: "+Inf"
        case -.infinity: "-Inf"
        case _ where value.isNaN: "NaN"
        default: Int64(exactly: value).map { String($0) } ?? String(value)
        }
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        if quotes { result = result.replacing("\"", with: "\\\"") }
        return result
    }
}

/// The names of the lines of one histogram. Those of a route are made once, because there are hundreds, and a scrape runs on an event loop.
struct HistogramSeries: Sendable {
    let buckets: [String]
    let sum: String
    let count: String

    init(_ name: String, _ labels: Metric.Labels, _ bounds: HistogramBounds) {
        let limits = bounds.values.map { PrometheusText.text(bounds.shown($0)) } + ["+Inf"]
        buckets = limits.map { PrometheusText.series(name + "_bucket", labels + [("le", $0)]) }
        sum = PrometheusText.series(name + "_sum", labels)
        count = PrometheusText.series(name + "_count", labels)
    }
}
