package dev.pocketlm

import dev.pocketlm.internal.Speculation as BorderSpeculation

/**
 * Whether several tokens are guessed and checked in one pass. The answer is the same in every case; what changes is how
 * long it takes.
 */
public sealed interface Speculation {

    /** [Lookup] on the CPU, [Off] elsewhere. */
    public data object Auto : Speculation

    /** One token a pass. */
    public data object Off : Speculation

    /** Looks the last tokens up in the conversation: good for edits, quotations and code, free for everything else. */
    public data object Lookup : Speculation

    /** A smaller [model] with the same vocabulary guesses. */
    public data class Draft(public val model: LocalModel) : Speculation
}

internal fun Speculation.lower(): BorderSpeculation = when (this) {
    Speculation.Auto -> BorderSpeculation.Auto
    Speculation.Off -> BorderSpeculation.Off
    Speculation.Lookup -> BorderSpeculation.Lookup
    is Speculation.Draft -> BorderSpeculation.Draft(model.openHandle())
}
