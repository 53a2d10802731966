package dev.pocketlm

import java.io.File
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.extension.ConditionEvaluationResult
import org.junit.jupiter.api.extension.ExecutionCondition
import org.junit.jupiter.api.extension.ExtendWith
import org.junit.jupiter.api.extension.ExtensionContext

/** The test needs the library and a real model; without them it is skipped, and says so. */
@Target(AnnotationTarget.CLASS, AnnotationTarget.FUNCTION)
@Retention(AnnotationRetention.RUNTIME)
@ExtendWith(RealModelCondition::class)
annotation class NeedsRealModel

/** The model of all tests: loaded once, never closed. */
object RealModel {
    private const val FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"

    val file: File? = System.getenv("POCKETLM_MODELS")?.let { File(it, FILE) }?.takeIf(File::exists)

    val path: String get() = checkNotNull(file).path

    /** The command line program, where it was built. */
    val program: File? = System.getenv("POCKETLM_PROGRAM")?.let(::File)?.takeIf(File::exists)

    val model: LocalModel by lazy { runBlocking { load() } }

    /** One more, for tests that close it. */
    suspend fun load(build: LoadOptions.Builder.() -> Unit = {}): LocalModel =
        LocalModel.load(path) {
            device = DeviceChoice.Cpu
            apply(build)
        }

    /** A fresh conversation for [test], closed behind it. */
    suspend fun <T> chat(instructions: String? = BRIEF, test: suspend (ModelSession) -> T): T {
        val session = model.session { this.instructions = instructions }
        try {
            return test(session)
        } finally {
            session.closeAndJoin()
        }
    }

    const val BRIEF = "Answer briefly."
}

/** Always the likeliest tokens, no more than [max] of them. */
fun greedy(max: Int): GenerateOptions = GenerateOptions.Greedy.with { maxTokens = max }

/** All text of these events. */
fun List<Event>.text(): String = filterIsInstance<Event.Text>().joinToString("") { it.delta }

private class RealModelCondition : ExecutionCondition {
    override fun evaluateExecutionCondition(context: ExtensionContext): ConditionEvaluationResult {
        if (RealModel.file != null) return ConditionEvaluationResult.enabled("the model is here")
        val reason = "no model for the Kotlin tests in \$POCKETLM_MODELS (cargo xtask models)"
        println("SKIPPED: $reason")
        return ConditionEvaluationResult.disabled(reason)
    }
}
