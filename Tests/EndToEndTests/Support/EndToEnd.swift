import Testing

/// Everything that needs a whole service. One suite after the other: each has hundreds of connections with both ends in this process.
@Suite(.serialized)
enum EndToEnd {}
