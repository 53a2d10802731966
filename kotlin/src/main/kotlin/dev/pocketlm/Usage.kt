package dev.pocketlm

import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import dev.pocketlm.internal.Usage as BorderUsage

/**
 * What an answer cost.
 *
 * @property promptTokens tokens of the whole prompt, those of earlier turns included
 * @property cachedTokens tokens of the prompt that the session remembered and did not compute again
 * @property generatedTokens tokens generated, the end-of-turn token included
 * @property draftedTokens tokens guessed ahead and checked, see [Speculation]
 * @property acceptedTokens of those, how many came true
 * @property timeToFirstToken from the call to the first generated token
 * @property decodeTime from the first generated token to the last
 * @property prefillTokensPerSecond prompt tokens computed per second until the first generated token
 * @property decodeTokensPerSecond generated tokens per second after the first
 */
public data class Usage(
    public val promptTokens: Int,
    public val cachedTokens: Int,
    public val generatedTokens: Int,
    public val draftedTokens: Int,
    public val acceptedTokens: Int,
    public val timeToFirstToken: Duration,
    public val decodeTime: Duration,
    public val prefillTokensPerSecond: Double,
    public val decodeTokensPerSecond: Double,
)

internal fun BorderUsage.lift(): Usage = Usage(
    promptTokens = promptTokens.toInt(),
    cachedTokens = cachedTokens.toInt(),
    generatedTokens = generatedTokens.toInt(),
    draftedTokens = draftedTokens.toInt(),
    acceptedTokens = acceptedTokens.toInt(),
    timeToFirstToken = firstTokenSeconds.seconds,
    decodeTime = decodeSeconds.seconds,
    prefillTokensPerSecond = prefillTokensPerSecond,
    decodeTokensPerSecond = decodeTokensPerSecond,
)
