import Testing

/// Everything that needs a whole service. One suite after the other: each has hundreds of connections with both ends in this
/// process, and Foundation's `Process` on Linux crashes in a process with more than about 1,300 open files.
@Suite(.serialized)
enum EndToEnd {}
