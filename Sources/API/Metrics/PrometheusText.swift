import NIOCore
import Services

/// Writes metrics in the Prometheus text exposition format, version 0.0.4.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var buffer = ByteBuffer()

    mutating func write(_ metric: Metric) {
        header(metric.name, metric.kind.rawValue, metric.help)
        for sample in metric.samples { line(metric.name, sample.labels, PrometheusText.text(sample.value)) }
    }

    mutating func header(_ name: String, _ kind: String, _ help: String) {
        buffer.writeString("# HELP \(name) \(PrometheusText.escaped(help, quotes: false))\n# TYPE \(name) \(kind)\n")
    }

    mutating func line(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
        buffer.writeString(name)
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(PrometheusText.escaped($0.value, quotes: true))\"" }
            buffer.writeString("{\(pairs.joined(separator: ","))}")
        }
        buffer.writeString(" \(value)\n")
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
