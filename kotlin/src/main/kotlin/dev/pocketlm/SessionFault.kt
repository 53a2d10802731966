package dev.pocketlm

import dev.pocketlm.internal.SessionFault as BorderSessionFault

/** What is wrong with a saved session; in [PocketException.SessionFile]. */
public enum class SessionFault {
    /** The file is not there or cannot be read. */
    Unreadable,

    /** The file could not be written; what was there before still is. */
    Unwritable,

    /** The file is something else. */
    NotASession,

    /** A later version of this library wrote it. */
    OtherVersion,

    /** The end of the file is missing. */
    Truncated,

    /** The file is not what was written. */
    Damaged,

    /** The file is encrypted, and no key was given. */
    KeyMissing,

    /** The file is encrypted with another key. */
    WrongKey,

    /** A key was given, and the file is not encrypted. */
    NotEncrypted,

    /** Another model's session. */
    OtherModel,

    /** The same model, with another chat template. */
    OtherTemplate,
}

internal fun BorderSessionFault.lift(): SessionFault = when (this) {
    BorderSessionFault.UNREADABLE -> SessionFault.Unreadable
    BorderSessionFault.UNWRITABLE -> SessionFault.Unwritable
    BorderSessionFault.NOT_A_SESSION -> SessionFault.NotASession
    BorderSessionFault.OTHER_VERSION -> SessionFault.OtherVersion
    BorderSessionFault.TRUNCATED -> SessionFault.Truncated
    BorderSessionFault.DAMAGED -> SessionFault.Damaged
    BorderSessionFault.KEY_MISSING -> SessionFault.KeyMissing
    BorderSessionFault.WRONG_KEY -> SessionFault.WrongKey
    BorderSessionFault.NOT_ENCRYPTED -> SessionFault.NotEncrypted
    BorderSessionFault.OTHER_MODEL -> SessionFault.OtherModel
    BorderSessionFault.OTHER_TEMPLATE -> SessionFault.OtherTemplate
}
