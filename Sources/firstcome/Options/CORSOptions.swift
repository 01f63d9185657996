import API
import App
import ArgumentParser
import HTTPServer

/// The option `--cors-origin`.
struct CORSOptions: ParsableArguments {
    @Option(
        name: .customLong("cors-origin"),
        help: ArgumentHelp(
            """
            An origin whose web pages may call the service, such as https://shop.example; may be repeated, or name several with commas. \
            * alone allows every origin. Without it, browsers let no other origin's pages read an answer.
            """, valueName: "origin"))
    var origins: [String] = []

    /// Nil without the option.
    private func policy() throws -> CrossOriginPolicy? {
        guard !origins.isEmpty else { return nil }
        // An environment variable gives several in one value.
        let names = origins.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }
        do {
            return try CrossOriginPolicy(ofServiceFor: names.map { $0.trimmingPrefix { $0 == " " } }.map(String.init))
        } catch {
            throw ValidationError("--cors-origin \(error.origin): \(error.reason)")
        }
    }

    func validate() throws { _ = try policy() }

    func apply(to configuration: inout RunConfiguration) throws {
        configuration.http.crossOrigin = try policy()
    }
}
