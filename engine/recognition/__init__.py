"""May this earlier result stand for that order? Pure: no I/O and no clock.

What is recognised (互认) is the image, the waveform or the number: 检查检验结果 does not include the conclusion of the
physician. The conclusion is shown with it, and the doctor who asks may write his own.
"""

from engine.recognition.judgement import Asked, Earlier, Judgement, Reason, Rules, Verdict, judge

__all__ = ["Asked", "Earlier", "Judgement", "Reason", "Rules", "Verdict", "judge"]
