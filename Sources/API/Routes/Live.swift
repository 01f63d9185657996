import Commerce
import HTTPServer
import Store

/// The handler of the stream by which operators watch the service.
enum Live {
    static let watch: Route.IdentityHandler = { call, _ in
        let wanted = try call.query { $0.integer("couponId", in: 1...Int64.max).map { CouponID($0) } }
        guard let wanted else { return events(call, of: nil) }
        return .deferredTask {
            guard try await call.reader.find(campaign: wanted, on: call.loop.context).row != nil else {
                return .now(call.refusal(.couponNotFound))
            }
            return events(call, of: wanted)
        }
    }

    private static func events(_ call: Call, of coupon: CouponID?) -> HTTPAnswer {
        let live = call.loop.live
        // Some proxies collect an answer before they pass it on, unless they are told otherwise.
        return call.stream(headers: [("x-accel-buffering", "no")], contentType: "text/event-stream", endsOnDrain: true) { writer in
            let watch = live.watch(coupon)
            defer { watch.end() }
            let end = ContinuousClock.now + longest
            for await event in watch.frames {
                try await writer.write(event)
                if ContinuousClock.now >= end { return }
            }
        }
    }

    /// How long a stream lasts. Then its client connects again, and its token is checked again.
    private static let longest: Duration = .seconds(900)
}
