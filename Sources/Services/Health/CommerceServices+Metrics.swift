import Redis
import Store

extension CommerceServices {
    /// The metrics of store, Redis client and background work.
    package func metrics() -> [Metric] {
        let (store, redis) = (store.statistics, redis.statistics)
        let (calls, claims) = contexts.reduce((0, 0)) { ($0.0 + $1.batcher.callCount, $0.1 + $1.batcher.claimCount) }
        return [
            Metric("firstcome_store_commits_total", .counter, "Committed groups of writes.", store.groups),
            Metric("firstcome_store_writes_total", .counter, "Writes in committed groups.", store.jobs),
            Metric("firstcome_store_queue_depth", .gauge, "Writes that wait for their commit.", store.queueDepth),
            Metric("firstcome_store_overloaded_total", .counter, "Writes turned away because the queue was full.", store.refusedOverload),
            Metric(
                "firstcome_store_reads", .gauge, "Reads that wait or run, by lane.",
                samples: ReadLane.allCases.map { ([("lane", $0.rawValue)], Double(store.reads[$0]?.depth ?? 0)) }),
            Metric(
                "firstcome_store_reads_refused_total", .counter, "Reads turned away because their lane was full.",
                samples: ReadLane.allCases.map { ([("lane", $0.rawValue)], Double(store.reads[$0]?.refused ?? 0)) }),
            Metric(
                "firstcome_store_reads_cancelled_total", .counter, "Reads dropped or ended because their client had hung up.",
                samples: ReadLane.allCases.map { ([("lane", $0.rawValue)], Double(store.reads[$0]?.cancelled ?? 0)) }),
            Metric("firstcome_store_commit_failures_total", .counter, "Groups of which nothing was committed.", store.commitFailures),
            Metric("firstcome_store_wal_bytes", .gauge, "Size of the write-ahead log.", store.walBytes),
            Metric("firstcome_redis_commands_total", .counter, "Commands sent to Redis.", redis.sent),
            Metric("firstcome_claims_asked_total", .counter, "Claims that Redis decided; the others were answered from memory.", claims),
            Metric("firstcome_claim_calls_total", .counter, "Calls of claim_coupon; one decides the claims of one tick.", calls),
            Metric("firstcome_redis_pending", .gauge, "Commands that wait for their reply.", redis.pending),
            Metric("firstcome_redis_reconnects_total", .counter, "Connections made after the first.", redis.reconnects),
            Metric("firstcome_redis_overloaded_total", .counter, "Commands turned away because the queue was full.", redis.overloaded),
            Metric(
                "firstcome_redis_unknown_outcomes_total", .counter, "Commands whose reply was lost.", redis.unknownOutcomes + redis.timedOut
            ),
            Metric("firstcome_ranking_lag_events", .gauge, "Events that the ranking has not counted; -1 while unknown.", relay.lag ?? -1),
            Metric(
                "firstcome_campaigns_unloaded", .gauge, "Open campaigns without a loaded gate.", recovery.unloadedCampaigns?.count ?? 0),
            Metric(
                "firstcome_campaigns_uncompared", .gauge,
                "Open campaigns whose gate was not compared with the store since the start or the last reconnect.",
                recovery.uncomparedCampaigns ?? 0),
            Metric(
                "firstcome_recovery_claims_compared_total", .counter, "Claims of gates and store read to compare them.",
                recovery.comparedClaims),
            Metric(
                "firstcome_background_steps_total", .counter, "Steps of background work; commits, losses of Redis and timers wake it.",
                backgroundSteps.value),
        ]
    }
}
