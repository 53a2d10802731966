package dev.pocketlm

import dev.pocketlm.internal.Event as BorderEvent
import dev.pocketlm.internal.FinishReason as BorderFinishReason

/** One step of an answer; [ModelSession.stream] is a flow of them. */
public sealed interface Event {

    /** More of the answer; always whole characters. */
    public data class Text(public val delta: String) : Event

    /** More of the model's thinking, which is not part of the answer. */
    public data class Reasoning(public val delta: String) : Event

    /** Something the app may want to know; the answer goes on. */
    public data class Noticed(public val notice: Notice) : Event

    /** The end: always the last event of an answer that did not fail. */
    public data class Done(public val finish: FinishReason, public val usage: Usage) : Event
}

/** Why an answer ended. */
public enum class FinishReason {
    /** The model ended its turn. */
    EndOfTurn,

    /** One of [GenerateOptions.stop] appeared. */
    StopString,

    /** [GenerateOptions.maxTokens] was reached; the answer may be incomplete. */
    MaxTokens,

    /** The context window is full; the answer may be incomplete. */
    ContextFull,

    /** [ModelSession.cancel] was called, or the session or model was closed; the turn is forgotten. */
    Cancelled,
}

internal fun BorderEvent.lift(): Event = when (this) {
    is BorderEvent.Text -> Event.Text(delta)
    is BorderEvent.Reasoning -> Event.Reasoning(delta)
    is BorderEvent.Notice -> Event.Noticed(notice.lift())
    is BorderEvent.Done -> Event.Done(finish.lift(), usage.lift())
}

private fun BorderFinishReason.lift(): FinishReason = when (this) {
    BorderFinishReason.END_OF_TURN -> FinishReason.EndOfTurn
    BorderFinishReason.STOP_STRING -> FinishReason.StopString
    BorderFinishReason.MAX_TOKENS -> FinishReason.MaxTokens
    BorderFinishReason.CONTEXT_FULL -> FinishReason.ContextFull
    BorderFinishReason.CANCELLED -> FinishReason.Cancelled
}
