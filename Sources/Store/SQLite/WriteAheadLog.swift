import Foundation

/// The write-ahead log: the file beside the store's that holds commits until they are copied back into the store's file.
///
/// It starts over once everything in it is copied back and no reader needs it, so it grows while a reader does not end.
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
