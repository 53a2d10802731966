package dev.pocketlm

import dev.pocketlm.internal.GenerateOptions as BorderGenerateOptions
import dev.pocketlm.internal.SampleOptions as BorderSampleOptions

/**
 * Options of one answer; null is the library's default: a mild setting for conversation (temperature 0.7 over the 40
 * likeliest tokens, top-p 0.95, min-p 0.05, no penalties).
 */
public class GenerateOptions private constructor(builder: Builder) {
    /** Divides the logits: below 1 sharpens, above 1 flattens. 0 always takes the likeliest token. */
    public val temperature: Float? = builder.temperature

    /** Keeps this many of the likeliest tokens; 0 keeps all. */
    public val topK: Int? = builder.topK

    /** Keeps the likeliest tokens whose probabilities sum to this; 1 keeps all. */
    public val topP: Float? = builder.topP

    /** Drops tokens less likely than this share of the likeliest; 0 drops none. */
    public val minP: Float? = builder.minP

    /** Keeps the most typical tokens whose probabilities sum to this; 1 keeps all. */
    public val typicalP: Float? = builder.typicalP

    /** Weakens tokens that were seen before by this factor; 1 does nothing. */
    public val repetitionPenalty: Float? = builder.repetitionPenalty

    /** Subtracted from a token's logit for each time it was seen; 0 does nothing. */
    public val frequencyPenalty: Float? = builder.frequencyPenalty

    /** Subtracted from the logit of every token that was seen; 0 does nothing. */
    public val presencePenalty: Float? = builder.presencePenalty

    /** How many of the last tokens the penalties look at. */
    public val penaltyWindow: Int? = builder.penaltyWindow

    /** Added to the logits of these tokens, by id; negative infinity forbids one. */
    public val logitBias: Map<Int, Float> = builder.logitBias.toMap()

    /** The same seed gives the same answer; null takes a fresh one. */
    public val seed: Long? = builder.seed

    /** The most tokens to generate; null stops only at the model's own end or a full context. */
    public val maxTokens: Int? = builder.maxTokens

    /** Texts that end the answer; they are not part of it. */
    public val stop: List<String> = builder.stop.toList()

    /** Whether several tokens are guessed and checked in one pass. */
    public val speculation: Speculation = builder.speculation

    /** These options with changes. */
    public fun with(build: Builder.() -> Unit): GenerateOptions = Builder(this).apply(build).build()

    /** Collects the options of an answer. */
    @PocketDsl
    public class Builder internal constructor(from: GenerateOptions? = null) {
        /** Divides the logits: below 1 sharpens, above 1 flattens. 0 always takes the likeliest token. */
        public var temperature: Float? = from?.temperature

        /** Keeps this many of the likeliest tokens; 0 keeps all. */
        public var topK: Int? = from?.topK

        /** Keeps the likeliest tokens whose probabilities sum to this; 1 keeps all. */
        public var topP: Float? = from?.topP

        /** Drops tokens less likely than this share of the likeliest; 0 drops none. */
        public var minP: Float? = from?.minP

        /** Keeps the most typical tokens whose probabilities sum to this; 1 keeps all. */
        public var typicalP: Float? = from?.typicalP

        /** Weakens tokens that were seen before by this factor; 1 does nothing. */
        public var repetitionPenalty: Float? = from?.repetitionPenalty

        /** Subtracted from a token's logit for each time it was seen; 0 does nothing. */
        public var frequencyPenalty: Float? = from?.frequencyPenalty

        /** Subtracted from the logit of every token that was seen; 0 does nothing. */
        public var presencePenalty: Float? = from?.presencePenalty

        /** How many of the last tokens the penalties look at. */
        public var penaltyWindow: Int? = from?.penaltyWindow

        /** Added to the logits of these tokens, by id; negative infinity forbids one. */
        public var logitBias: Map<Int, Float> = from?.logitBias.orEmpty()

        /** The same seed gives the same answer; null takes a fresh one. */
        public var seed: Long? = from?.seed

        /** The most tokens to generate; null stops only at the model's own end or a full context. */
        public var maxTokens: Int? = from?.maxTokens

        /** Texts that end the answer; they are not part of it. */
        public var stop: List<String> = from?.stop.orEmpty()

        /** Whether several tokens are guessed and checked in one pass. */
        public var speculation: Speculation = from?.speculation ?: Speculation.Auto

        internal fun build(): GenerateOptions = GenerateOptions(this)
    }

    public companion object {
        /** The library's defaults. */
        public val Default: GenerateOptions = Builder().build()

        /** Always the likeliest token: the same answer every time. */
        public val Greedy: GenerateOptions = GenerateOptions { temperature = 0f }

        /** Options in a block: `GenerateOptions { temperature = 0.2f; maxTokens = 100 }`. */
        public operator fun invoke(build: Builder.() -> Unit): GenerateOptions = Builder().apply(build).build()
    }
}

internal fun GenerateOptions.lower(): BorderGenerateOptions = BorderGenerateOptions(
    sample = BorderSampleOptions(
        temperature = temperature,
        topK = topK?.lower("topK"),
        topP = topP,
        minP = minP,
        typicalP = typicalP,
        repetitionPenalty = repetitionPenalty,
        frequencyPenalty = frequencyPenalty,
        presencePenalty = presencePenalty,
        penaltyWindow = penaltyWindow?.lower("penaltyWindow"),
        logitBias = logitBias.mapKeys { it.key.lower("logitBias") },
        seed = seed?.toULong(),
    ),
    maxTokens = maxTokens?.lower("maxTokens"),
    stop = stop,
    speculation = speculation.lower(),
)

/** A count as Rust takes it. */
internal fun Int.lower(name: String): UInt {
    if (this < 0) throw PocketException.InvalidArgument("invalid $name: $this is negative", name, "$this is negative")
    return toUInt()
}
