// The code of docs/kotlin.md, so that it compiles. DocsTest compares.
@file:Suppress("unused", "UNUSED_VARIABLE")

package dev.pocketlm.docs

import dev.pocketlm.Describe
import dev.pocketlm.Event
import dev.pocketlm.GenerateOptions
import dev.pocketlm.JsonSchema
import dev.pocketlm.LoadOptions
import dev.pocketlm.LoadState
import dev.pocketlm.LocalModel
import dev.pocketlm.LogLevel
import dev.pocketlm.ModelSession
import dev.pocketlm.PocketException
import dev.pocketlm.PocketLog
import kotlinx.coroutines.CoroutineScope
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.JsonObject

private suspend fun firstChat() {
    val model = LocalModel.load("/path/to/model.gguf")
    model.session { instructions = "Answer briefly." }.use { session ->
        println(session.respond("What is a GGUF file?").text)
        println(session.respond("And in one word?").text)
    }
    model.close()
}

private suspend fun streaming(session: ModelSession) {
    session.stream("Tell me about the sea.") { maxTokens = 200 }.collect { event ->
        when (event) {
            is Event.Text -> print(event.delta)
            is Event.Done -> println("\n${event.finish}, ${event.usage.decodeTokensPerSecond} tok/s")
            else -> {}
        }
    }
}

private fun options() {
    val careful = GenerateOptions {
        temperature = 0.2f
        maxTokens = 300
        stop = listOf("\n\n")
    }
    val reproducible = GenerateOptions.Greedy.with { maxTokens = 100 }
}

private suspend fun loading(scope: CoroutineScope) {
    val load = LocalModel.loadIn(scope, "/path/to/model.gguf", LoadOptions { context = 2048 })
    load.state.collect { state ->
        when (state) {
            is LoadState.Loading -> println("${(state.progress * 100).toInt()} %")
            is LoadState.Ready -> println(state.model.info.name)
            is LoadState.Failed -> println(state.error.message)
            LoadState.Cancelled -> println("not loaded")
        }
    }
}

private suspend fun errors(session: ModelSession, question: String) {
    try {
        session.respond(question)
    } catch (error: PocketException.ContextExceeded) {
        println("The conversation needs ${error.tokens} tokens, ${error.size} fit: begin a new one.")
    } catch (error: PocketException.Busy) {
        println("One answer at a time.")
    }
}

@Serializable
data class Recipe(
    @Describe("A short name") val title: String,
    val minutes: Int,
    val ingredients: List<String>,
    val vegetarian: Boolean = false,
)

private fun schemas() {
    val schema: JsonObject = JsonSchema.of(Recipe.serializer().descriptor)
}

private fun log() {
    PocketLog.setSink({ level, target, message -> println("$level $target: $message") }, LogLevel.Info)
}
