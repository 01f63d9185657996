/// The folder that a path is in: `.` for a name without a slash. Links are not resolved.
///
/// Foundation's `deletingLastPathComponent` of `NSString` ends the process for a path of one character.
func parentFolder(of path: String) -> String {
    let place = path.trailingSlashesRemoved
    guard let slash = place.lastIndex(of: "/") else { return path.hasPrefix("/") ? "/" : "." }
    let folder = place[..<slash].trailingSlashesRemoved
    return folder.isEmpty ? "/" : folder
}

extension StringProtocol {
    /// Without the slashes at its end; those of the root too.
    fileprivate var trailingSlashesRemoved: String { String(self[..<(lastIndex { $0 != "/" }.map(index(after:)) ?? startIndex)]) }
}
