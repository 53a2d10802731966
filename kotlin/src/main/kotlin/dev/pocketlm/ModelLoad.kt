package dev.pocketlm

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.supervisorScope
import kotlin.time.Duration.Companion.milliseconds
import dev.pocketlm.internal.LoadTask

/** A load in progress, from [LocalModel.loadIn]. */
public class ModelLoad internal constructor(scope: CoroutineScope, load: suspend (LoadTask) -> LocalModel) {
    private val states = MutableStateFlow<LoadState>(LoadState.Loading(0.0))

    /** How far the load is. Does not change any more after [LoadState.Ready], [LoadState.Failed] or [LoadState.Cancelled]. */
    public val state: StateFlow<LoadState> = states.asStateFlow()

    // A failure is a state here, and must not take the scope of a screen with it. The beginning cannot be cancelled:
    // so that the end always becomes a state.
    @OptIn(ExperimentalCoroutinesApi::class)
    private val model: Deferred<LocalModel?> = scope.async(start = CoroutineStart.ATOMIC) {
        LoadTask().use { task ->
            try {
                val model = supervisorScope {
                    val watch = launch { watch(task) }
                    try {
                        load(task)
                    } finally {
                        watch.cancel()
                    }
                }
                states.value = LoadState.Ready(model)
                model
            } catch (error: PocketException) {
                states.value = LoadState.Failed(error)
                null
            } catch (cancelled: CancellationException) {
                states.value = LoadState.Cancelled
                throw cancelled
            }
        }
    }

    /**
     * Waits for the model.
     *
     * @throws PocketException as [LocalModel.load]
     */
    public suspend fun await(): LocalModel {
        model.await()
        return when (val state = state.value) {
            is LoadState.Ready -> state.model
            is LoadState.Failed -> throw state.error
            else -> throw CancellationException("the load was cancelled")
        }
    }

    /** Stops the load. A model that is already there stays. */
    public fun cancel() {
        model.cancel()
    }

    private suspend fun watch(task: LoadTask) {
        while (true) {
            states.value = LoadState.Loading(task.progress())
            delay(WATCH_INTERVAL)
        }
    }

    private companion object {
        /** Often enough for a progress bar. */
        val WATCH_INTERVAL = 50.milliseconds
    }
}

/** How far a [ModelLoad] is. */
public sealed interface LoadState {
    /** Being loaded; [progress] is from 0 to 1. */
    public data class Loading(public val progress: Double) : LoadState

    /** Loaded. */
    public data class Ready(public val model: LocalModel) : LoadState

    /** Not loaded, because of [error]. */
    public data class Failed(public val error: PocketException) : LoadState

    /** Stopped by the app. */
    public data object Cancelled : LoadState
}
