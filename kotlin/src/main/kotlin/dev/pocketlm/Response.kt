package dev.pocketlm

/**
 * A whole answer.
 *
 * @property text the answer
 * @property reasoning the model's thinking before it, where it shows any
 * @property finish why it ended
 * @property usage what it cost
 */
public data class Response(
    public val text: String,
    public val reasoning: String,
    public val finish: FinishReason,
    public val usage: Usage,
)
