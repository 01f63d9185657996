import Store

/// What the cache of an event loop answers. Unlike `Found`, the value stays on its loop.
enum Cached<Value> {
    case now(Value)
    /// The store has to ask a server. Calling the closure begins that; its argument is called once, later, on the loop.
    case later((_ completion: @escaping (Result<Value, StoreError>) -> Void) -> Void)
}
