package dev.pocketlm

/** Marks the receivers of builder blocks, so that an inner block does not set options of an outer one. */
@DslMarker
@Target(AnnotationTarget.CLASS)
public annotation class PocketDsl
