/// Where a caller wants its results: an event loop, for instance.
///
/// All results of one commit group that share a context arrive in one call, so a loop is woken once per group.
package protocol DeliveryContext: AnyObject, Sendable {
    /// Runs the work soon, in this context; must not block.
    func deliver(_ work: @escaping @Sendable () -> Void)
}
