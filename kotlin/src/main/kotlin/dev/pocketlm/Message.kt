package dev.pocketlm

import dev.pocketlm.internal.Message as BorderMessage
import dev.pocketlm.internal.Role as BorderRole
import dev.pocketlm.internal.ToolCall as BorderToolCall

/**
 * One message of a conversation, as [ModelSession.transcript] shows it.
 *
 * @property role who speaks
 * @property content what is said; may be empty beside [toolCalls]
 * @property reasoning the model's thinking before the content
 * @property toolCalls the calls that an assistant's message asks for
 * @property toolCallId in a tool's message: the call it answers
 * @property name in a tool's message: the tool's name
 */
public data class Message(
    public val role: Role,
    public val content: String,
    public val reasoning: String? = null,
    public val toolCalls: List<ToolCall> = emptyList(),
    public val toolCallId: String? = null,
    public val name: String? = null,
)

/** Who speaks in a [Message]. */
public sealed interface Role {
    /** Instructions to the model. */
    public data object System : Role

    /** The person, or the program acting for one. */
    public data object User : Role

    /** The model. */
    public data object Assistant : Role

    /** The result of a tool call. */
    public data object Tool : Role

    /** A role that only some chat templates know. */
    public data class Other(public val name: String) : Role
}

/**
 * A call of a tool, as the model asked for it.
 *
 * @property id ties the result to the call
 * @property name the tool's name
 * @property argumentsJson the arguments as JSON text: an object, unless the model wrote something else
 */
public data class ToolCall(public val id: String, public val name: String, public val argumentsJson: String)

internal fun BorderMessage.lift(): Message =
    Message(role.lift(), content, reasoning, toolCalls.map { it.lift() }, toolCallId, name)

internal fun BorderToolCall.lift(): ToolCall = ToolCall(id, name, argumentsJson)

private fun BorderRole.lift(): Role = when (this) {
    is BorderRole.System -> Role.System
    is BorderRole.User -> Role.User
    is BorderRole.Assistant -> Role.Assistant
    is BorderRole.Tool -> Role.Tool
    is BorderRole.Other -> Role.Other(name)
}
