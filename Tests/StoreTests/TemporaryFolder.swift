import Foundation

/// A new folder for the files of one test.
///
/// In memory where the system has such a place: the suite commits thousands of times, each with its fsync, and would measure the
/// disk. What a disk adds, surviving a power cut, no test in this process can see.
func makeTemporaryFolder() throws -> URL {
    let memory = URL(filePath: "/dev/shm", directoryHint: .isDirectory)
    let root = FileManager.default.isWritableFile(atPath: memory.path) ? memory : FileManager.default.temporaryDirectory
    let folder = root.appending(path: "firstcome-store-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}
