/// Rows of one table that the jobs of a group share: each is read once, and what the jobs add to its columns is written once.
///
/// A row may be changed without having been read. Used as scratch space of one transaction after the other, so it keeps its memory.
struct GatheredRows<Row, Change: GatheredChange> {
    struct Entry {
        let id: Int64
        /// The row as it is in the database, without the change; nil where it was not read.
        var row: Row?
        var change = Change()
    }

    private(set) var entries: [Entry] = []
    private var places: [Int64: Int] = [:]
    /// The place that was asked for last: in a group of one hot row, always that row's.
    private var recent = 0

    /// The entry of the row; nil where the group has neither read nor changed it.
    mutating func place(of id: Int64) -> Int? {
        if recent < entries.count, entries[recent].id == id { return recent }
        guard let place = places[id] else { return nil }
        recent = place
        return place
    }

    subscript(place: Int) -> Entry {
        _read { yield entries[place] }
        _modify { yield &entries[place] }
    }

    mutating func add(_ id: Int64, _ row: Row?, _ change: Change = Change()) {
        recent = entries.count
        places[id] = recent
        entries.append(Entry(id: id, row: row, change: change))
    }

    mutating func removeAll() {
        guard !entries.isEmpty else { return }
        entries.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
    }
}

/// What a group adds to the columns of a row.
protocol GatheredChange {
    /// No change.
    init()
    var isNone: Bool { get }
}
