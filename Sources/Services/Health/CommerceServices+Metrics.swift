import Commerce
import Histograms
import Redis
import Store

extension CommerceServices {
    /// The metrics of store, Redis client, background work and process. Waits for nothing.
    package func metrics() -> [Metric] {
        stateMetrics + storeMetrics(store.statistics) + redisMetrics(redis.statistics) + claimMetrics + outboxMetrics + recoveryMetrics
            + ProcessMetrics.all()
    }

    private var stateMetrics: [Metric] {
        [
            Metric(
                "firstcome_ready", "1 while /readyz answers 200, judged by the connections to Redis without a question to it.",
                holds: isReady),
            Metric(
                "firstcome_redis_connected",
                "1 while every event loop is connected to Redis; in a cluster, to the primary of the ranking.",
                holds: redis.isConnected(to: RedisKeys.store)),
            Metric(
                "firstcome_redis_primaries_expected", .gauge, "Primaries among which the keys are divided; 1 without a cluster.",
                redis.reach.primaries),
            Metric(
                "firstcome_redis_primaries_reachable", .gauge, "Of these, those to which every event loop is connected.",
                redis.reach.reachable),
            Metric(
                "firstcome_duties_held", "1 while this service does the background duties of all services on the store.",
                holds: duties?.areHeld ?? true),
            Metric(
                "firstcome_duties_taken_total", .counter, "How often this service has taken the background duties from others or anew.",
                duties?.taken ?? 0),
        ]
    }

    private func storeMetrics(_ store: StoreStatistics) -> [Metric] {
        [
            Metric("firstcome_store_commits_total", .counter, "Committed groups of writes.", store.groups),
            Metric("firstcome_store_writes_total", .counter, "Writes in committed groups.", store.jobs),
            Metric("firstcome_store_group_size", "Writes in each committed group.", store.groupSizes),
            Metric(
                "firstcome_store_commit_seconds",
                "Time in COMMIT: the group is written to the write-ahead log and flushed to the disk (fsync); now and then the log is "
                    + "copied back too.",
                store.commitTimes),
            Metric("firstcome_store_queue_depth", .gauge, "Writes that wait for their commit.", store.queueDepth),
            Metric("firstcome_store_overloaded_total", .counter, "Writes turned away because the queue was full.", store.refusedOverload),
            laneMetric("firstcome_store_reads", .gauge, "Reads that wait or run, by lane.", store) { $0.depth },
            laneMetric(
                "firstcome_store_reads_refused_total", .counter, "Reads turned away because their lane was full.", store
            ) { $0.refused },
            laneMetric(
                "firstcome_store_reads_cancelled_total", .counter, "Reads dropped or ended because their client had hung up.", store
            ) { $0.cancelled },
            Metric("firstcome_store_commit_failures_total", .counter, "Groups of which nothing was committed.", store.commitFailures),
            Metric("firstcome_store_wal_bytes", .gauge, "Size of the write-ahead log.", store.walBytes),
        ]
    }

    private func laneMetric(
        _ name: String, _ kind: Metric.Kind, _ help: String, _ store: StoreStatistics, _ value: (ReadLaneStatistics) -> Int
    ) -> Metric {
        Metric(
            name, kind, help,
            samples: ReadLane.allCases.map { lane in ([("lane", lane.rawValue)], Double(store.reads[lane].map(value) ?? 0)) })
    }

    private func redisMetrics(_ redis: RedisStatistics) -> [Metric] {
        [
            Metric("firstcome_redis_commands_total", .counter, "Commands sent to Redis.", redis.sent),
            Metric(
                "firstcome_redis_round_trip_seconds",
                "Time from sending a command to its reply, of the last reply in each read of a connection.", redis.roundTrips),
            Metric("firstcome_redis_pending", .gauge, "Commands that wait for their reply.", redis.pending),
            Metric("firstcome_redis_reconnects_total", .counter, "Connections made after the first.", redis.reconnects),
            Metric("firstcome_redis_overloaded_total", .counter, "Commands turned away because the queue was full.", redis.overloaded),
            Metric(
                "firstcome_redis_unknown_outcomes_total", .counter, "Commands whose reply was lost.", redis.unknownOutcomes + redis.timedOut
            ),
        ]
    }

    private var claimMetrics: [Metric] {
        let sizes = contexts.dropFirst().reduce(contexts[0].batcher.sizesOfCalls) { $0 + $1.batcher.sizesOfCalls }
        return [
            Metric("firstcome_claims_asked_total", .counter, "Claims that Redis decided; the others were answered from memory.", sizes.sum),
            Metric("firstcome_claim_calls_total", .counter, "Calls of claim_coupon; one decides the claims of one tick.", sizes.count),
            Metric("firstcome_claim_batch_size", "Claims in each call of claim_coupon.", sizes),
            Metric(
                "firstcome_campaigns_unloaded", .gauge, "Open campaigns without a loaded gate; no sample before they were looked at.",
                recovery.unloadedCampaigns?.count),
            Metric(
                "firstcome_campaigns_uncompared", .gauge,
                "Open campaigns whose gate was not compared with the store since the start or the last reconnect; no sample before they "
                    + "were looked at.",
                recovery.uncomparedCampaigns),
        ]
    }

    private var outboxMetrics: [Metric] {
        let outbox = outbox.statistics
        let age = outbox.map { outbox in outbox.oldestWaiting.map { max(0, seconds($0, until: configuration.clock.now)) } ?? 0 }
        return [
            Metric(
                "firstcome_outbox_events", .gauge, "Events that are not delivered: waiting, or parked for an operator.",
                samples: outbox.map { [([("state", "waiting")], Double($0.waiting)), ([("state", "parked")], Double($0.parked))] } ?? []),
            Metric(
                "firstcome_outbox_oldest_waiting_seconds", .gauge,
                "Age of the oldest event that waits for its delivery; 0 where none does.",
                seconds: age),
            Metric(
                "firstcome_ranking_lag_events", .gauge, "Events that the ranking has not counted; no sample while unknown.", relay.lag),
            Metric(
                "firstcome_ranking_refresh_timestamp_seconds", .gauge, "When the top products were computed last.",
                seconds: ranking.lastRefresh.map(seconds)),
        ]
    }

    private var recoveryMetrics: [Metric] {
        [
            Metric(
                "firstcome_recovery_claims_compared_total", .counter, "Claims of gates and store read to compare them.",
                recovery.comparedClaims),
            Metric(
                "firstcome_recovery_findings_total", .counter, "What recovery has found and repaired, by kind.",
                samples: FindingCounter.Kind.allCases.map { ([("kind", $0.rawValue)], Double(found.count(of: $0))) }),
            Metric(
                "firstcome_recovery_success_timestamp_seconds", .gauge, "When a recovery last left nothing to do.",
                seconds: recovery.lastSuccess.map(seconds)),
            Metric(
                "firstcome_background_steps_total", .counter, "Steps of background work; commits, losses of Redis and timers wake it.",
                backgroundSteps.value),
        ]
    }

    private func seconds(_ instant: Instant) -> Double { Double(instant.milliseconds) / 1_000 }

    private func seconds(_ start: Instant, until end: Instant) -> Double { seconds(end) - seconds(start) }
}
