// Words that several views say.

import { addTexts } from "/web/shared/language.js";

addTexts({
  view_lanes: ["레인", "Lanes"],
  view_desk: ["동기화 데스크", "Sync desk"],
  view_charges: ["충전", "Charges"],
  view_products: ["상품", "Products"],
  view_coupons: ["쿠폰", "Coupons"],
  view_users: ["사용자", "Users"],
  view_requests: ["요청", "Requests"],
  view_audit: ["감사", "Audit"],
  view_log: ["변경 기록", "Audit log"],
  accepted: ["접수", "Accepted"],
  act: ["작업", "Action"],
  amount: ["금액", "Amount"],
  create: ["만들기", "Create"],
  id_hint: ["비워 두면 서버가 정합니다.", "Left empty, the server names it."],
  last_error: ["마지막 오류", "Last error"],
  note: ["메모", "Note"],
  note_hint: ["어떻게 해결했는지 적으세요.", "Say how it was settled."],
  state: ["상태", "State"],
  user: ["사용자", "User"],
  which: ["표시할 항목", "Which to show"],
});
