package dev.pocketlm

import dev.pocketlm.internal.Fit as BorderFit
import dev.pocketlm.internal.Plan as BorderPlan

/**
 * What a model will need, from [LocalModel.plan]. Sizes are bytes.
 *
 * @property gpu whether weights and memory go to a GPU
 * @property kvType how a session's keys and values would be kept
 * @property context positions of a session
 * @property threads CPU threads
 * @property weightsMapped weights that stay in the mapped file: pages that the system may drop and read again
 * @property weightsPrivate weights in private memory; on a GPU all of them, in its memory
 * @property tokenizer vocabulary and merges
 * @property kv the memory of one session with a full context
 * @property sharedPrefixes what the model keeps at most for instructions that sessions share
 * @property scratch what the model works on while it runs
 * @property available what can be had now; null where the system does not tell
 * @property fit how well it fits
 * @property suggestion another way to run the model that fits better, when this does not fit and there is one
 */
public data class Plan(
    public val gpu: Boolean,
    public val kvType: KvType,
    public val context: Int,
    public val threads: Int,
    public val weightsMapped: Long,
    public val weightsPrivate: Long,
    public val tokenizer: Long,
    public val kv: Long,
    public val sharedPrefixes: Long,
    public val scratch: Long,
    public val available: Long?,
    public val fit: Fit,
    public val suggestion: Suggestion?,
) {
    /**
     * Another way to run a model.
     *
     * @property context positions of a session
     * @property kvType how keys and values are kept
     * @property fit how well that fits
     */
    public data class Suggestion(public val context: Int, public val kvType: KvType, public val fit: Fit)
}

/** How well a model fits. */
public enum class Fit {
    /** Everything fits in memory, the weights too. */
    InMemory,

    /** It runs, but some weights are read from storage again for each token, which is slow. */
    FromStorage,

    /** It does not fit: loading is refused with [PocketException.InsufficientMemory]. */
    No,

    /** This system does not tell how much memory there is. */
    Unknown,
}

internal fun BorderPlan.lift(): Plan = Plan(
    gpu = gpu,
    kvType = kvType.lift(),
    context = context.toInt(),
    threads = threads.toInt(),
    weightsMapped = weightsMapped.toLong(),
    weightsPrivate = weightsPrivate.toLong(),
    tokenizer = tokenizer.toLong(),
    kv = kv.toLong(),
    sharedPrefixes = sharedPrefixes.toLong(),
    scratch = scratch.toLong(),
    available = available?.toLong(),
    fit = fit.lift(),
    suggestion = suggestion?.let { Plan.Suggestion(it.context.toInt(), it.kvType.lift(), it.fit.lift()) },
)

private fun BorderFit.lift(): Fit = when (this) {
    BorderFit.IN_MEMORY -> Fit.InMemory
    BorderFit.FROM_STORAGE -> Fit.FromStorage
    BorderFit.NO -> Fit.No
    BorderFit.UNKNOWN -> Fit.Unknown
}
