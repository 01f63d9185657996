import App
import ArgumentParser
import HTTPServer

/// The option `--access-log`.
struct AccessLogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Writes one JSON line for each request to this file, or with - to standard output after its first line. SIGHUP opens the \
            file again, so that it can be rotated.
            """, valueName: "file"))
    var accessLog: String?

    func validate() throws {
        guard accessLog != "" else { throw ValidationError("--access-log takes the path of a file, or -") }
    }

    func apply(to configuration: inout RunConfiguration) {
        configuration.accessLog = accessLog.map { $0 == "-" ? .standardOutput : .file($0) }
    }
}
