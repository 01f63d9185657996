import Foundation

/// The file beside the store in which commits stand until they are copied back.
///
/// It starts over once everything in it is copied and no reader needs it, so a reader that never ends lets it grow.
struct WriteAheadLog: Sendable {
    private let path: String

    init(ofStoreAt path: String) {
        self.path = path + "-wal"
    }

    /// The file's size; 0 while there is none.
    var bytes: Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : 0
    }
}
