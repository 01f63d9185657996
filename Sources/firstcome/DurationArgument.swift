import ArgumentParser

/// A length of time on the command line: a whole number and a unit, as in `500ms`, `30s`, `15m`, `24h` or `7d`.
struct DurationArgument: ExpressibleByArgument, Sendable, Hashable {
    let milliseconds: Int64

    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    init(_ duration: Duration) {
        self.init(milliseconds: Int64(duration / .milliseconds(1)))
    }

    init?(argument: String) {
        // "ms" is tried before "s", because it ends with "s" too.
        guard let unit = Self.units.first(where: { argument.hasSuffix($0.suffix) }),
            let number = Int64(argument.dropLast(unit.suffix.count)), number > 0
        else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflow, product <= 3_650 * 86_400_000 else { return nil }
        milliseconds = product
    }

    var defaultValueDescription: String {
        let unit = Self.units.last { milliseconds.isMultiple(of: $0.milliseconds) } ?? Self.units[0]
        return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }

    var duration: Duration { .milliseconds(milliseconds) }
}

/// A length of time on the command line that may also be zero: `0`, `0s`, or as in ``DurationArgument``.
struct DelayArgument: ExpressibleByArgument, Sendable, Hashable {
    let duration: Duration
    private let text: String

    static let none = DelayArgument(duration: .zero, text: "0s")

    private init(duration: Duration, text: String) {
        (self.duration, self.text) = (duration, text)
    }

    init(_ duration: Duration) {
        self.init(duration: duration, text: DurationArgument(duration).defaultValueDescription)
    }

    init?(argument: String) {
        if let length = DurationArgument(argument: argument) {
            self.init(duration: length.duration, text: length.defaultValueDescription)
        } else if ["0", "0ms", "0s", "0m", "0h", "0d"].contains(argument) {
            self = .none
        } else {
            return nil
        }
    }

    var defaultValueDescription: String { text }
}
