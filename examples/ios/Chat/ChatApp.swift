import SwiftUI

@main
struct ChatApp: App {
    @State private var chat = ChatModel()

    var body: some Scene {
        WindowGroup {
            ChatView(chat: chat)
        }
    }
}
