package dev.pocketlm

import dev.pocketlm.internal.Notice as BorderNotice

/** Something the library did that the app did not ask for. */
public sealed interface Notice {

    /** The CPU was chosen, because the GPU could not be used for [reason]. */
    public data class DeviceFallback(public val reason: String) : Notice

    /** The file has no chat template: prompts are sent as plain text, and answers may be poor. */
    public data object NoChatTemplate : Notice

    /** Another one, in words. */
    public data class Other(public val message: String) : Notice
}

internal fun BorderNotice.lift(): Notice = when (this) {
    is BorderNotice.DeviceFallback -> Notice.DeviceFallback(reason)
    is BorderNotice.NoChatTemplate -> Notice.NoChatTemplate
    is BorderNotice.Other -> Notice.Other(message)
}
