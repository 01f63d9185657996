import Commerce
import HTTPServer
import JSON
import Store

/// The handlers by which operators list events for the data platform and retry parked ones.
enum Events {
    static let list: Route.Handler = { call in
        .cancellableTask {
            let (state, request) = try call.query { ($0.choice("state", of: EventState.self), $0.page()) }
            let page = try await call.store.events(state: state?.delivery, page: request)
            return .page(page, .personal) { $0.write($1) }
        }
    }

    static let retry: Route.Handler = { call in
        .task {
            let id = try call.id("eventId", of: OrderEvent.self)
            try call.ignoreBody()
            switch try await call.store.retryParked(id, at: call.now, context: call.loop.context) {
            case .done(let record): return .object(.personal) { $0.write(record) }
            case .refused(let refusal): return call.refusal(refusal)
            }
        }
    }

    /// Retries every parked event. Small transactions set them to waiting, so that no other write has to wait for all of them.
    static let retryAll: Route.Handler = { call in
        .task {
            try call.ignoreBody()
            let retried = try await call.store.retryAllParked(at: call.now, context: call.loop.context)
            return .object(.personal) { $0.member("retried", Int64(retried)) }
        }
    }
}

/// How far the delivery of an event is, as in `openapi.json`.
enum EventState: String, CaseIterable, Sendable {
    case waiting
    case delivered
    case parked

    init(_ delivery: OrderEvent.Delivery) {
        switch delivery {
        case .waiting: self = .waiting
        case .delivered: self = .delivered
        case .parked: self = .parked
        }
    }

    var delivery: OrderEvent.Delivery {
        switch self {
        case .waiting: .waiting
        case .delivered: .delivered
        case .parked: .parked
        }
    }
}
