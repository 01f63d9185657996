/// Where the results of a caller's writes are delivered, for example on an event loop.
///
/// All results of one commit group that share a context arrive in one call, so a loop is woken once per group.
package protocol DeliveryContext: AnyObject, Sendable {
    /// Schedules the work in this context; must not block.
    func deliver(_ work: @escaping @Sendable () -> Void)
}
