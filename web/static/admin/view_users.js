// Users who were made with an opening balance, or came to have one.

import { h } from "/web/shared/dom.js";
import { addTexts, text, won } from "/web/shared/language.js";
import { ask } from "./dialog.js";
import { Pages } from "./pages.js";
import { button, emptiness, look, moment, name, table } from "./parts.js";

addTexts({
  users_about: ["사용자는 등록하지 않아도 됩니다. 없는 사용자의 잔액은 0원입니다.", "Nobody has to be registered: a shopper who is not here has a balance of 0."],
  new_user: ["새 사용자", "New user"],
  no_users: ["사용자가 없습니다.", "There are no users."],
  user_id: ["사용자 ID", "User id"],
  user_name: ["이름", "Name"],
  balance: ["잔액(원)", "Balance in won"],
  opening: ["시작 잔액(원)", "Opening balance in won"],
  since: ["생성", "Made"],
  show_requests: ["요청 보기", "Show requests"],
  user_created: ["사용자 {id}을(를) 만들었습니다.", "User {id} is made."],
});

export function users(app) {
  const list = new Pages(app, "/api/admin/users", "users");

  function create() {
    ask({
      title: text("new_user"),
      fields: [
        { name: "userId", label: text("user_id"), hint: text("id_hint"), optional: true },
        { name: "name", label: text("user_name"), optional: true },
        { name: "balance", label: text("opening"), kind: "number", optional: true },
      ],
      verb: text("create"),
      act: async (values) => {
        const { userId: id } = await app.send("POST", "/api/admin/users", values);
        app.say("good", text("user_created", { id }));
        app.refresh();
      },
    });
  }

  const columns = () => [
    [text("user_id"), ({ userId }) => name(userId)],
    [text("user_name"), (user) => user.name || "–"],
    [text("balance"), ({ balance }) => won(balance), "number"],
    [text("since"), ({ createdAt }) => moment(createdAt)],
    [text("act"), ({ userId }) => look(userId, text("show_requests"))],
  ];

  return {
    everyMs: 5_000,
    load: (signal) => list.load(signal),
    render: () => [
      h("p", { class: "soft", "data-key": "about" }, text("users_about")),
      h("div", { class: "row", "data-key": "new" }, button("create", text("new_user"), { class: "primary" })),
      h("div", { "data-key": "list" },
        emptiness(list.items, text("no_users")),
        list.items?.length > 0 && table(text("view_users"), columns(), list.items, ({ userId }) => userId)),
      list.moreButton(),
    ],
    acts: { create, more: () => list.showMore() },
  };
}
