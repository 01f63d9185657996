package import ArgumentParser

/// The command that serves ``BareChannel`` in a process of its own.
package struct BareChannelCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "bare-channel", abstract: "Answers everything with the same bytes.", shouldDisplay: false)

    @Option(help: "The port to listen on.")
    var port: Int

    package init() {}

    package func run() async throws { try await BareChannel.serve(port: port) }
}
