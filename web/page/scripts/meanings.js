// What does a finding mean? Its code in Chinese; the hub's own sentence, in English, names the case and stands below.

import { currentLanguage } from "./words.js";

/** What a code means in the page's language; empty where the hub's own sentence says it all. */
export function meaning(code) {
  return currentLanguage() === "zh" ? (meanings[code] ?? "") : "";
}

const meanings = {
  "accession-changed": "申请的检查号与工作列表已给出的不同，仍按原检查号",
  "accession-in-use": "检查号已被本机构另一份申请占用，未进入工作列表",
  "accession-unfit": "检查号过长或含有反斜杠，未采用",
  "charset-doubtful": "文字编码存疑，请核对姓名",
  "charset-mislabelled": "文字编码与声明不符，已按实际编码读取",
  "charset-unknown": "声明的字符集无法识别",
  "code-unmapped": "编码不在对照表中，已按原文保留",
  "control-id-reused": "同一控制号用于内容不同的报文",
  "delivery-refused": "对方系统拒收，请查看追踪结果",
  "endpoint-unknown": "所欠的投递没有对应的端点：重新配置端点，或放弃投递",
  "facility-mismatch": "MSH-4 与通道所属机构不符；确属该机构则补入 msh4",
  "id-card-changed": "患者的身份证号改变：是更正，还是患者号被重复使用？",
  "id-card-check-digit": "身份证号校验位不正确，未用于识别患者",
  "late-preliminary": "终稿之后又收到较早状态的结果，未记录",
  "late-version": "比已记录的版本更旧，未记录",
  "link-of-nobody": "报文要求关联患者，却只写了一位",
  "merge-after-undo": "此合并曾被人工撤销，对方又发来，已再次合并，请核对",
  "merge-doubtful": "已按对方要求合并，但身份证号、性别或出生日期不一致，请核对；可撤销",
  "merge-not-applied": "合并、移动或改号未执行，请看下面的原因",
  "merge-turned-round": "对方先后以相反方向合并同两位患者，以最后一次为准",
  "merge-undone-before": "此合并已被人工撤销，重新处理报文不再合并",
  "move-not-applied": "就诊未移到另一位患者，请看下面的原因",
  "msh-missing": "不是 HL7 v2 报文：开头没有 MSH",
  "no-mapping": "没有映射处理这类报文，已原样保存",
  "nul-character": "含有空字符（U+0000），已替换",
  "order-after-cancellation": "申请取消后又重新提出，中心的请求仍为已取消",
  "order-number-repeated": "两份申请用了同一个申请单号，后一份未记录",
  "order-without-accession": "机构自有 RIS，但申请没有检查号，未进入工作列表",
  "patient-id-unfit": "设备无法原样带回此患者标识，申请未进入工作列表",
  "patient-unidentified": "没有字段说明是哪位患者，已单独记录",
  "possible-match": "两位患者可能是同一个人，请核对",
  "replay-refused": "重新处理时现有映射无法读取，原记录保持不变",
  "report-not-owed": "没有可以送回这份报告的地址",
  "report-unidentified": "没有编号和时间可以识别这份报告，已单独记录",
  "several-messages": "一帧中含有多条报文",
  "shortened-for-worklist": "内容过长，仅在工作列表中截短",
  "sop-uid-conflict": "同一影像实例号再次收到而内容不同，已另行保存",
  "study-name-differs": "影像上的姓名与申请不同，请核对",
  "study-of-cancelled-order": "影像对应的申请已取消",
  "study-patient-conflict": "影像与申请的患者标识不一致，未关联",
  "study-without-accession": "影像没有检查号，已保存，未关联申请",
  "study-without-order": "没有与影像检查号对应的申请，已保存，未关联",
  "unlink-not-applied": "两位患者并非因关联而是同一人，未拆分",
  "unlink-of-unlinked": "两位患者本未关联",
};
