package dev.pocketlm

import dev.pocketlm.internal.SessionOptions as BorderSessionOptions

/** Says how a conversation begins; the block of [LocalModel.session]. */
@PocketDsl
public class SessionBuilder internal constructor() {
    /** The system message. */
    public var instructions: String? = null

    internal fun lower(): BorderSessionOptions = BorderSessionOptions(instructions)
}
