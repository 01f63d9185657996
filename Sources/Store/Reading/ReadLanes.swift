import GRDB
import Logging

/// The lanes of one store.
final class ReadLanes: Sendable {
    private let service: ReaderQueue
    private let personal: ReaderQueue
    private let browse: ReaderQueue

    init(path: String, options: StoreOptions, logger: Logger) throws {
        service = try ReaderQueue(.service, path: path, options: options.serviceReads, logger: logger)
        personal = try ReaderQueue(.personal, path: path, options: options.personalReads, logger: logger)
        browse = try ReaderQueue(.browse, path: path, options: options.browseReads, logger: logger)
        // Last, when nothing can fail any more: a thread keeps its lane alive until the lane is closed.
        for lane in ReadLane.allCases { self[lane].start() }
    }

    subscript(lane: ReadLane) -> ReaderQueue {
        switch lane {
        case .service: service
        case .personal: personal
        case .browse: browse
        }
    }

    /// Runs a read in its lane, in one snapshot. Cancelling the task ends the read where ``ReadLane/endsWithItsTask`` is true.
    func read<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (Database, RunningRead) throws -> Value
    ) async throws(StoreError) -> Value {
        let (queue, read) = (self[lane], RunningRead())
        let result: Result<Value, StoreError> = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                queue.submit(read) {
                    try body($0, read)
                } completion: {
                    continuation.resume(returning: $0)
                }
            }
        } onCancel: {
            if lane.endsWithItsTask { queue.cancel(read) }
        }
        return try result.get()
    }

    var statistics: [ReadLane: ReadLaneStatistics] {
        Dictionary(uniqueKeysWithValues: ReadLane.allCases.map { ($0, self[$0].statistics) })
    }

    /// Ends the reads that began before an instant, in every lane, and returns their number.
    func endReads(begunBefore instant: ContinuousClock.Instant) -> Int {
        ReadLane.allCases.reduce(0) { $0 + self[$1].endReads(begunBefore: instant) }
    }

    func close() {
        for lane in ReadLane.allCases { self[lane].close() }
    }
}
