import Store
import Synchronization

/// A row for metrics, which wait for nothing: read at once where the store is in this process. Otherwise it is the row as the last answer
/// showed it, and the store is asked again.
final class LatestRow<Row: Sendable>: Sendable {
    private let find: @Sendable () throws(StoreError) -> Found<Row>
    /// Nil before the first answer, and after one that was an error.
    private let known = Mutex<Row?>(nil)

    init(_ find: @escaping @Sendable () throws(StoreError) -> Found<Row>) { self.find = find }

    /// Nil where the store cannot be read.
    var row: Row? {
        do {
            switch try find() {
            case .now(let row): return row
            case .later(let begin):
                begin { [weak self] answer in self?.note(answer) }
                return known.withLock { $0 }
            }
        } catch {
            return nil
        }
    }

    func note(_ answer: Result<Row, StoreError>) { known.withLock { $0 = try? answer.get() } }
}
