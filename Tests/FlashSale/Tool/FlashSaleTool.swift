import ArgumentParser
import TestSupport

/// `make demo`: plays a flash sale on a service of its own, and checks at the end what became of it.
@main
struct FlashSaleTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flash-sale",
        abstract: "Plays a flash sale: 5,000 people want one of 100 coupons, then order and pay.",
        discussion: """
            Starts a service with a private Redis on fresh data in a temporary folder, and removes all of it at the end. Exits with 0 only \
            where exactly 100 coupons were issued and the audit is clean.
            """)

    @Option(help: "How many seconds orders and payments flow.")
    var seconds = 30

    @Option(help: "The port on 127.0.0.1; where it is taken, a free one.")
    var port = 8_080

    @Flag(help: "Leave the service running at the end, until Ctrl-C.")
    var keep = false

    func validate() throws {
        guard (1...3_600).contains(seconds) else { throw ValidationError("--seconds is from 1 to 3600") }
        guard (0...65_535).contains(port) else { throw ValidationError("--port is from 0 to 65535") }
    }

    func run() async throws {
        let screen = Screen()
        do {
            let isRight = try await untilSignalled { [seconds, port, keep] in
                try await Shop.with(port: port) { shop in
                    try await FlashSale(shop: shop, screen: screen, seconds: seconds).play(keepsRunning: keep)
                }
            }
            guard isRight else { throw ExitCode.failure }
        } catch is CancellationError {
            screen.line("\nstopped; the service has ended and its folder is removed")
            throw ExitCode(130)
        }
    }
}
